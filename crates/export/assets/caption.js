
// The page of an exported folder: captions by ONNX Runtime Web in this browser. What it needs lies beside it; docs/caption.md
// of the repository says what is in settings.json.

// What the reader can do something about; anything else that goes wrong is said with the browser's own words.
class Trouble extends Error {}

// Loading: everything beside the page, once, as the page opens.

const RUNTIME = { script: "ort/ort.wasm.min.mjs", code: "ort/ort-wasm-simd-threaded.wasm" }
const WHERE_FROM = "scripts/get-onnxruntime-web.sh of the image-captioning repository puts ONNX Runtime Web there"

async function load() {
  if (typeof WebAssembly !== "object") throw new Trouble("This browser has no WebAssembly, which the networks run on: try a current Firefox, Chrome, Edge or Safari.")
  const progress = new Progress()
  const json = async name => {
    const text = new TextDecoder().decode(await beside(name, progress))
    try { return JSON.parse(text) } catch { throw new Trouble(`${name} is damaged: export the folder again.`) }
  }
  const [settings, vocabulary, encoder, decoder, code] = await Promise.all([
    json("settings.json"), json("vocabulary.json"), beside("encoder.onnx", progress), beside("decoder.onnx", progress),
    beside(RUNTIME.code, progress, WHERE_FROM),
  ])
  if (settings.onnx_captioner !== 1) throw new Trouble("settings.json is not of the layout that this page knows: export the folder again.")
  const ort = await runtime()
  ort.env.logLevel = "error"
  ort.env.wasm.wasmBinary = code
  ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href
  // More threads share memory, which browsers only give to isolated pages; one works from any file server.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1
  progress.say("Starting the networks …")
  const session = async (name, network) => {
    try { return await ort.InferenceSession.create(network, { executionProviders: ["wasm"] }) }
    catch (error) { throw new Trouble(`${name} cannot be started here: ${error.message}`) }
  }
  // One after the other: the first also starts the runtime.
  const networks = { encoder: await session("encoder.onnx", encoder), decoder: await session("decoder.onnx", decoder) }
  progress.say("")
  return { ort, settings, words: vocabulary.words, ...networks }
}

// The bytes of a file beside the page.
async function beside(name, progress, hint = "it belongs to the exported folder") {
  let reply
  try { reply = await fetch(name) } catch { throw new Trouble(`${name} cannot be loaded: is the server still there?`) }
  if (!reply.ok) throw new Trouble(`${name} is missing beside this page (status ${reply.status}): ${hint}.`)
  const chunks = [], reader = reply.body.getReader()
  // The length is that of what travels, which is not the file where the server compresses it.
  const length = reply.headers.get("content-encoding") ? NaN : Number(reply.headers.get("content-length") ?? NaN)
  const part = progress.expect(length)
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) { chunks.push(read.value); part(read.value.length) }
  } catch { throw new Trouble(`${name} was cut off while it was loaded: reload the page.`) }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}

async function runtime() {
  try { return await import(new URL(RUNTIME.script, document.baseURI).href) }
  catch (error) {
    const reply = await fetch(RUNTIME.script).catch(() => null)
    if (!reply || !reply.ok) throw new Trouble(`${RUNTIME.script} is missing beside this page: ${WHERE_FROM}.`)
    const type = reply.headers.get("content-type")
    throw new Trouble(/javascript/.test(type) ? `${RUNTIME.script} cannot be used: ${error.message}` : `The server calls ${RUNTIME.script} “${type}”: it must send .mjs files as text/javascript.`)
  }
}

// How much has come, for people.
class Progress {
  loaded = 0
  total = 0

  say(text) { $("progress").textContent = text }

  expect(length) {
    this.total += length
    return bytes => {
      this.loaded += bytes
      const megabytes = bytes => (bytes / 1e6).toFixed(0)
      this.say(`Loading the model: ${megabytes(this.loaded)}${this.total ? " of " + megabytes(this.total) : ""} MB`)
    }
  }
}

// Photos: decoded and turned by the browser, then resized as Pillow does it, because browsers resize each in their own way.

async function decode(blob) {
  try { return await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" }) }
  catch {
    const start = new Uint8Array(await blob.slice(0, 12).arrayBuffer()), text = String.fromCharCode(...start)
    if (!blob.size) throw new Trouble("This file is empty.")
    if (/^....ftyp(hei|hev|mif|msf)/s.test(text)) throw new Trouble("This is a HEIC photo, which this browser cannot read: save it as JPEG first.")
    if (/^(II\*\0|MM\0\*)/.test(text)) throw new Trouble("This is a TIFF image, which browsers cannot read: save it as PNG or JPEG first.")
    throw new Trouble("This is no photo that the browser can read, or it is damaged or too large: give it a JPEG, PNG, WebP, GIF, AVIF or BMP.")
  }
}

// The reach of each kernel, and its value at a distance below that.
const KERNELS = {
  bilinear: [1, x => 1 - x],
  bicubic: [2, x => x < 1 ? (1.5 * x - 2.5) * x * x + 1 : (((x - 5) * x + 8) * x - 4) * -.5],
}
const BITS = 22

// Which pixels of a side of `side` make each of `count` pixels, from `first` on, of the side when it has `resized` pixels: for
// each the number of its first and their shares in fixed point.
function shares(side, resized, first, count, [reach, kernel]) {
  const scale = side / resized, wide = Math.max(scale, 1), support = reach * wide
  return Array.from({ length: count }, (_, number) => {
    const centre = (first + number + .5) * scale
    const start = Math.max(0, Math.trunc(centre - support + .5)), end = Math.min(side, Math.trunc(centre + support + .5))
    const values = Array.from({ length: end - start }, (_, at) => {
      const distance = Math.abs((start + at - centre + .5) / wide)
      return distance < reach ? kernel(distance) : 0
    })
    const fixed = 2 ** BITS / values.reduce((sum, value) => sum + value, 0)
    return { start, shares: Int32Array.from(values, value => Math.trunc(value * fixed + (value < 0 ? -.5 : .5))) }
  })
}

// What of a photo of `width` × `height` an image shows, and how much smaller it is: for each side what it is resized to, and
// where the square begins in that.
function sides(look, width, height) {
  const shorter = Math.min(width, height)
  return [width, height].map(side => {
    const resized = look.squash ? look.crop : Math.max(look.crop, Math.floor(look.resize * side / shorter))
    const half = (resized - look.crop) / 2, down = Math.floor(half)
    // A half is rounded to the even number.
    const first = half === down ? down : down + down % 2
    return { side, resized, first, seen: [first * side / resized, (first + look.crop) * side / resized] }
  })
}

// The square that a network is shown, `[crop × crop × RGB]` in 8 bits: first every row is resized, then every column.
function square(bitmap, look) {
  const [across, down] = sides(look, bitmap.width, bitmap.height).map(({ side, resized, first }) => {
    const pixels = shares(side, resized, first, look.crop, KERNELS[look.interpolation]), last = pixels.at(-1)
    return { pixels, start: pixels[0].start, length: last.start + last.shares.length - pixels[0].start }
  })
  const { crop } = look, narrow = new Uint8ClampedArray(crop * down.length * 3), half = 1 << (BITS - 1)
  // Strip by strip: a whole photo on a canvas is more than some phones allow.
  const strip = Math.max(1, Math.min(down.length, Math.floor(2 ** 20 / across.length)))
  const canvas = new OffscreenCanvas(across.length, strip), paper = canvas.getContext("2d", { willReadFrequently: true })
  paper.fillStyle = "white"
  for (let top = 0, to = 0; top < down.length; top += strip) {
    const rows = Math.min(strip, down.length - top)
    paper.fillRect(0, 0, across.length, strip)
    paper.drawImage(bitmap, across.start, down.start + top, across.length, rows, 0, 0, across.length, rows)
    const { data } = paper.getImageData(0, 0, across.length, rows)
    for (let row = 0; row < rows; row++) {
      for (const { start, shares } of across.pixels) {
        let red = half, green = half, blue = half, from = (row * across.length + start - across.start) * 4
        for (let at = 0; at < shares.length; at++, from += 4) {
          red += data[from] * shares[at]; green += data[from + 1] * shares[at]; blue += data[from + 2] * shares[at]
        }
        narrow[to++] = red >> BITS; narrow[to++] = green >> BITS; narrow[to++] = blue >> BITS
      }
    }
  }
  const small = new Uint8ClampedArray(crop * crop * 3), line = crop * 3
  down.pixels.forEach(({ start, shares }, row) => {
    for (let column = 0; column < line; column++) {
      let sum = half
      for (let at = 0, from = (start - down.start) * line + column; at < shares.length; at++, from += line) sum += narrow[from] * shares[at]
      small[row * line + column] = sum >> BITS
    }
  })
  return small
}

// (pixel − mean) / std as `[1, 3, crop, crop]`.
function normalised(ort, small, { crop, mirror, mean, std }) {
  const plane = crop * crop, values = new Float32Array(3 * plane)
  for (let cell = 0; cell < plane; cell++) {
    const column = cell % crop, from = 3 * (mirror ? cell - column + crop - 1 - column : cell)
    for (let channel = 0; channel < 3; channel++) values[channel * plane + cell] = (small[from + channel] - mean[channel]) / std[channel]
  }
  return new ort.Tensor("float32", values, [1, 3, crop, crop])
}

// Search: (diverse) beam search as the programs of the repository do it. Special tokens are never written, no caption is empty,
// and where none ends in time an unfinished one is returned.

const score = (one, settings) => one.sum / Math.max(1, one.ids.length + one.finished) ** settings.length_penalty
const byScore = settings => (a, b) => score(b, settings) - score(a, settings)

// The rows at `indices` of a tensor.
function select(ort, tensor, indices) {
  const size = tensor.data.length / tensor.dims[0], data = new Float32Array(size * indices.length)
  indices.forEach((index, row) => data.set(tensor.data.subarray(index * size, (index + 1) * size), row * size))
  return new ort.Tensor("float32", data, [indices.length, ...tensor.dims.slice(1)])
}

async function search({ ort, settings: { decoder: names, tokens }, decoder }, encoded, settings) {
  const rows = (names, indices) => names.map(name => select(ort, encoded[name], indices))
  const groups = Array.from({ length: settings.groups }, () => new Group(settings))
  let parents = groups.map(() => 0), memory = rows(names.memory, parents), state = rows(names.state, parents)
  for (let length = 0; length < settings.max_length && parents.length; length++) {
    const live = groups.flatMap(group => group.live)
    const words = BigInt64Array.from(live, ({ ids }) => BigInt(ids.at(-1) ?? tokens.bos))
    const inputs = { [names.words]: new ort.Tensor("int64", words, [live.length]) }
    names.memory.forEach((name, number) => inputs[name] = memory[number])
    names.state.forEach((name, number) => inputs[name] = state[number])
    const step = await decoder.run(inputs)
    const of = (output, row) => { const size = output.data.length / live.length; return output.data.slice(row * size, (row + 1) * size) }
    const never = new Set([tokens.pad, tokens.bos, tokens.unk, ...(length < settings.min_length ? [tokens.eos] : [])])
    // One more than the beam, because one may be the end.
    const candidates = live.map((one, row) => best(of(step[names.log_probabilities], row), settings.beam_size + 1, new Set([...never, ...repeats(one.ids, settings.no_repeat_ngram)])))
    const attention = names.attention && live.map((_, row) => of(step[names.attention], row))
    const before = parents.length
    parents = []
    for (let group = 0, first = 0, taken = []; group < groups.length; group++) {
      const size = groups[group].live.length
      parents.push(...groups[group].advance(first, candidates, attention, taken, tokens.eos))
      first += size
      taken.push(...groups[group].live.map(({ ids }) => ids.at(-1)))
    }
    if (parents.length !== before) memory = rows(names.memory, parents.map(() => 0))
    state = names.next_state.map(name => select(ort, step[name], parents))
  }
  return ranked(groups.flatMap(group => group.captions()), settings)
}

// The words that would write some n-gram again.
function repeats(ids, n) {
  if (!n || ids.length < n) return []
  const last = ids.slice(ids.length - n + 1), starts = [...Array(ids.length - n + 1).keys()]
  return starts.filter(at => last.every((id, next) => ids[at + next] === id)).map(at => ids[at + n - 1])
}

// The `count` most probable words, best first; of equal ones those with the smaller ids.
function best(logs, count, never) {
  const kept = []
  logs.forEach((log, word) => {
    if (Number.isNaN(log)) throw new Trouble("The decoder gives scores that are not numbers: decoder.onnx is damaged.")
    if (log === -Infinity || never.has(word) || kept.length === count && kept.at(-1).log >= log) return
    const after = kept.findIndex(one => one.log < log)
    kept.splice(after < 0 ? kept.length : after, 0, { word, log })
    kept.length = Math.min(kept.length, count)
  })
  return kept
}

// The hypotheses of one group.
class Group {
  live = [{ ids: [], logs: [], attention: [], sum: 0, finished: false }]
  finished = []
  // Those that no allowed word continues.
  stuck = []

  constructor(settings) {
    this.settings = settings
    this.size = settings.beam_size / settings.groups
  }

  // Extends every hypothesis by its best words; gives the row that each new one came from. `taken` are the words that earlier
  // groups chose at this step.
  advance(first, candidates, attention, taken, eos) {
    const longer = this.live.flatMap((parent, number) => {
      const words = candidates[first + number]
      if (!words.length && parent.ids.length) this.stuck.push(parent)
      return words.map(({ word, log }) => {
        const sum = parent.sum + log, times = taken.filter(other => other === word).length
        return { parent, row: first + number, word, log, sum, rank: sum - this.settings.diversity * times }
      })
    })
    longer.sort((a, b) => b.rank - a.rank)
    const parents = []
    this.live = []
    for (const { parent, row, word, log, sum } of longer) {
      if (this.live.length === this.size) break
      const next = { ...parent, logs: [...parent.logs, log], sum }
      if (word === eos) { this.finished.push({ ...next, finished: true }); continue }
      this.live.push({ ...next, ids: [...parent.ids, word], attention: attention ? [...parent.attention, attention[row]] : [] })
      parents.push(row)
    }
    if (this.isHopeful()) return parents
    this.live = []
    return []
  }

  // Whether one could still rank among the best; forgets finished ones that do not.
  isHopeful() {
    const { settings, size } = this
    this.finished = this.finished.sort(byScore(settings)).slice(0, size)
    const worst = this.finished.length === size ? score(this.finished.at(-1), settings) : -Infinity
    return this.live.some(({ sum }) => sum / (settings.max_length + 1) ** settings.length_penalty > worst)
  }

  captions() { return this.finished.length ? this.finished : [...this.live, ...this.stuck] }
}

// The captions of all groups, best first and all different.
function ranked(captions, settings) {
  captions.sort((a, b) => b.finished - a.finished || byScore(settings)(a, b))
  const seen = new Set(), isNew = ({ ids }) => !seen.has(ids.join()) && seen.add(ids.join())
  const different = captions.filter(isNew).slice(0, settings.beam_size)
  if (!(settings.consensus > 0)) return different
  const done = different.filter(one => one.finished), cut = different.filter(one => !one.finished)
  return [...byAgreement(done, settings.consensus), ...cut]
}

// In the order of their expected agreement with one another, where each counts by its probability to a power: the share of
// n-grams of 1 to 4 words that two captions have in common.
function byAgreement(captions, power) {
  const most = Math.max(...captions.map(one => one.sum)), weights = captions.map(one => Math.exp((one.sum - most) * power))
  const counted = captions.map(({ ids }) => {
    const counts = new Map()
    for (let n = 1; n <= 4; n++) for (let at = 0; at + n <= ids.length; at++) {
      const ngram = ids.slice(at, at + n).join()
      counts.set(ngram, (counts.get(ngram) ?? 0) + 1)
    }
    return { counts, total: [...counts.values()].reduce((sum, count) => sum + count, 0) }
  })
  const agreement = (one, other) => {
    let common = 0
    for (const [ngram, count] of one.counts) common += Math.min(count, other.counts.get(ngram) ?? 0)
    return 2 * common / Math.max(1, one.total + other.total)
  }
  const expected = counted.map(one => counted.reduce((sum, other, number) => sum + weights[number] * agreement(one, other), 0))
  return captions.map((one, number) => [expected[number], one]).sort((a, b) => b[0] - a[0]).map(([, one]) => one)
}

// A photo's captions, in the form in which the server of the repository answers.

async function captioned(model, bitmap, beams) {
  const { ort, settings, words } = model, times = [performance.now()]
  const squares = new Map(), images = {}
  for (const look of settings.images) {
    const kind = JSON.stringify([look.resize, look.crop, look.squash, look.interpolation])
    if (!squares.has(kind)) squares.set(kind, square(bitmap, look))
    images[look.input] = normalised(ort, squares.get(kind), look)
  }
  times.push(performance.now())
  const encoded = await model.encoder.run(images)
  times.push(performance.now())
  const wanted = { ...settings.search, ...(beams && { beam_size: beams }) }
  if (wanted.beam_size % wanted.groups) wanted.groups = 1
  const captions = (await search(model, encoded, wanted)).map(({ ids, logs, attention, sum, finished }) => ({
    caption: ids.map(id => words[id]).join(" "),
    words: ids.map((id, n) => ({ text: words[id], log_probability: logs[n], attention: attention[n] && [...attention[n]] })),
    log_probability: sum,
    finished,
  }))
  times.push(performance.now())
  // The grid of attention is that of the first set of features.
  const first = settings.images.find(({ input }) => input === settings.features[0].input)
  const [across, down] = sides(first, bitmap.width, bitmap.height)
  const region = [across.seen[0], down.seen[0], across.seen[1], down.seen[1]]
  return {
    caption: captions[0].caption, captions, grid: settings.grid,
    seen: { width: bitmap.width, height: bitmap.height, region, mirrored: first.mirror },
    milliseconds: times.slice(1).map((time, n) => Math.round(time - times[n])),
  }
}

const loading = location.protocol === "file:"
  ? Promise.reject(new Trouble("Browsers do not let a page that was opened as a file read the model beside it: run “python3 -m http.server” in its folder and open http://localhost:8000."))
  : load()
loading.catch(complain)

function complain(error) {
  $("progress").textContent = ""
  $("error").textContent = error instanceof Trouble ? error.message : `That went wrong: ${error.message}`
}

// One photo after the other: a session runs once at a time.
let last = Promise.resolve()

async function ask(blob) {
  const number = ++asked
  photo = blob
  $("error").textContent = ""
  show(blob)
  try {
    const began = performance.now(), bitmap = await decode(blob), decoded = Math.round(performance.now() - began)
    const model = await loading
    const mine = last.then(() => number === asked ? captioned(model, bitmap, Number($("beams").value)) : null)
    last = mine.catch(() => {})
    const said = await mine
    bitmap.close()
    if (number !== asked) return
    const [resized, looked, wrote] = said.milliseconds
    $("timing").textContent = `${decoded + resized + looked + wrote} ms: decoding ${decoded}, resizing ${resized}, looking ${looked}, writing ${wrote}. Model ${model.settings.name}.`
    tell(said)
  } catch (error) {
    if (number !== asked) return
    forget()
    complain(error)
  } finally {
    if (number === asked) $("figure").classList.remove("busy")
  }
}
