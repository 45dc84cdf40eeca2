#!/usr/bin/env bash
# Builds the guide: docs/ and the root's pages as one book, into target/book/html. Needs mdbook.
# The pages are copied as they lie in the repository, so that a link works here, in the repository and in the book.
set -euo pipefail

fail() { echo "book: $*" >&2; exit 1; }

cd "$(dirname "$0")/.." || fail "could not enter the project's folder"
command -v mdbook >/dev/null || fail "mdbook is missing: run 'cargo install --locked mdbook', then this again"
book=target/book
rm -rf "$book" || fail "could not remove the last book in $book"
mkdir -p "$book/src" || fail "could not create $book/src"
cp docs/book.toml "$book/" || fail "could not copy docs/book.toml"
cp -r docs "$book/src/docs" || fail "could not copy docs"
cp ./*.md "$book/src/" || fail "could not copy the root's pages"
# The contents are those of docs/SUMMARY.md, whose links start there.
sed -e 's#](#](docs/#' -e 's#](docs/\.\./#](#' docs/SUMMARY.md >"$book/src/SUMMARY.md" || fail "could not write the contents"
rm "$book/src/docs/SUMMARY.md"
mdbook build "$book" || fail "mdbook could not build $book"
# mdbook copies the first page to the top, where its links lead nowhere.
echo '<meta http-equiv="refresh" content="0; url=docs/index.html">' >"$book/html/index.html" || fail "could not write the first page"
echo "book: $book/html/index.html"
