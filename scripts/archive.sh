#!/usr/bin/env bash
# Packs the program of each wheel in target/wheels, which old C libraries can run, into target/archives/tagfleet-TARGET.tar.gz,
# with completions, man pages and the licences. `cargo binstall` and people without Python use it.
set -euo pipefail

fail() { echo "archive: $*" >&2; exit 1; }

cd "$(dirname "$0")/.." || fail "could not enter the project's folder"
target=$(rustc -vV | sed -n 's/^host: //p')
[ -n "$target" ] || fail "rustc does not say which target this is"
wheels=(target/wheels/tagfleet-*.whl)
[ -f "${wheels[0]}" ] && [ ${#wheels[@]} = 1 ] || fail "target/wheels must hold one wheel: remove all, then run 'make wheel'"
mkdir -p target/archives || fail "could not create target/archives"
name=tagfleet-$target
folder=target/archives/$name
rm -rf "$folder" || fail "could not remove $folder"
mkdir -p "$folder/completions" || fail "could not create $folder"
program=$(python3 -m zipfile --list "${wheels[0]}" | awk '$1 ~ /\/scripts\/tagfleet$/ { print $1 }')
[ -n "$program" ] || fail "${wheels[0]} holds no program"
python3 -m zipfile --extract "${wheels[0]}" "$folder/wheel" || fail "could not unpack ${wheels[0]}"
install -m 755 "$folder/wheel/$program" "$folder/tagfleet" || fail "could not take the program out of ${wheels[0]}"
rm -r "$folder/wheel" || fail "could not remove $folder/wheel"
for shell in bash zsh fish; do
  "$folder/tagfleet" completions "$shell" >"$folder/completions/tagfleet.$shell" || fail "could not make completions for $shell"
done
"$folder/tagfleet" man --out "$folder/man/man1" || fail "could not make the man pages"
cp README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$folder/" || fail "could not copy the licences"
tar --create --gzip --file "$folder.tar.gz" --directory target/archives --owner 0 --group 0 --sort name "$name" ||
  fail "could not pack $folder"
rm -r "$folder"
ls -l "$folder.tar.gz"
