// Evaluates JSONata expressions with the reference implementation and prints those whose value is not the expected one.
// Standard input: [{"expression", "variables": {...}, "states": {...}, "value"}], as tests/emulator records them.
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import jsonata from 'jsonata'

const plain = value => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))
const wrong = []
for (const { expression, variables, states, value } of JSON.parse(readFileSync(0, 'utf8'))) {
  let found
  try {
    found = plain(await jsonata(expression).evaluate(null, { ...variables, states }))
  } catch (error) {
    found = `${error.code}: ${error.message}`
  }
  if (!isDeepStrictEqual(found, value)) wrong.push({ expression, variables, states, expected: value, found })
}
console.log(JSON.stringify(wrong))
