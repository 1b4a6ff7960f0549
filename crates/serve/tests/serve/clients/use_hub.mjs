// What a user of Hugging Face's client for JavaScript does: use_hub.mjs PACKAGE HTTP PHOTO prints the caption.

import { readFile } from "node:fs/promises"
import { pathToFileURL } from "node:url"

const [folder, server, path] = process.argv.slice(2)
const read = async name => JSON.parse(await readFile(`${folder}/${name}`))
const { exports, module, main } = await read("package.json")
const entry = exports?.["."]?.import?.default ?? exports?.["."]?.import ?? module ?? main
const client = await import(pathToFileURL(`${folder}/${entry}`))
const photo = new Blob([await readFile(path)])
const inference = new (client.InferenceClient ?? client.HfInference)("any")
const { generated_text } = await inference.endpoint(`${server}/models/caption`).imageToText({ model: "caption", data: photo })
console.log(generated_text)
