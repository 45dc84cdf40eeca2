// Opens a page in headless Chromium as people do: on a phone, on a desktop, in the dark, on paper. Writes a picture of
// each, and prints as JSON what it asked for, what is wider than the screen, and what an accessibility checker says.
//   node look.js CHROMIUM PAGE FOLDER
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, page, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const views = {
  phone: { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2, isMobile: true, colorScheme: "light" },
  "phone-dark": { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2, isMobile: true, colorScheme: "dark" },
  desktop: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  "desktop-dark": { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
};

// Root may not use the sandbox, and the page is our own.
const browser = await chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
const report = { requests: [], errors: [], views: {} };
for (const [name, view] of Object.entries(views)) {
  const context = await browser.newContext({ ...view, reducedMotion: "reduce" });
  const tab = await context.newPage();
  tab.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) report.requests.push(request.url());
  });
  tab.on("console", (message) => report.errors.push(message.text()));
  tab.on("pageerror", (error) => report.errors.push(String(error)));
  await tab.goto(pathToFileURL(page).href);
  await tab.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  if (name === "desktop") {
    await tab.pdf({ path: join(folder, "print.pdf"), format: "A4", margin: { top: "15mm", bottom: "15mm", left: "15mm", right: "15mm" } });
  }
  const measured = await tab.evaluate(() => ({
    width: document.documentElement.clientWidth,
    contentWidth: document.documentElement.scrollWidth,
    brokenImages: [...document.images].filter((image) => image.naturalWidth === 0).length,
    images: document.images.length,
  }));
  await tab.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
  // Through the browser's own tools: the page's policy lets no script in.
  await tab.evaluate(axe);
  const checked = await tab.evaluate(() => window.axe.run(document, { resultTypes: ["violations", "incomplete"] }));
  const told = (found) => found.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes[0].target.join(" ")}`);
  report.views[name] = { ...measured, violations: told(checked.violations), rules: checked.passes.length };
  await context.close();
}
await browser.close();
console.log(JSON.stringify(report));
