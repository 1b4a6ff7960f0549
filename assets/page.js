// What the server's page and the page of an exported folder do alike: take a photo, tell its captions, show where the model
// looked. Each brings its own `ask(blob)`, which has a photo captioned and hands what the server's API answers to `tell`.
"use strict"
const $ = id => document.getElementById(id)
const percent = share => share >= .1 ? Math.round(share * 100) + " %" : share >= .001 ? (share * 100).toFixed(1) + " %" : "< 0.1 %"
let photo = null, answer = null, chosen = 0, at = -1, asked = 0

function show(blob) {
  URL.revokeObjectURL($("photo").src)
  $("photo").src = URL.createObjectURL(blob)
  $("photo").alt = ""
  answer = null; at = -1
  $("work").classList.add("done")
  $("figure").classList.remove("hidden", "looking")
  $("figure").classList.add("busy")
  $("result").classList.add("hidden")
}

// As it was before a photo that cannot be used.
function forget() {
  $("work").classList.remove("done")
  $("figure").classList.add("hidden")
  $("result").classList.add("hidden")
}

function tell(said) {
  answer = said
  tries(); choose(0)
  $("result").classList.remove("hidden")
  $("said").textContent = "Caption: " + said.caption
  $("photo").alt = said.caption
}

function tries() {
  $("tries").replaceChildren(...answer.captions.map((one, number) => {
    const sure = Math.exp(one.log_probability / (one.words.length + 1))
    const button = document.createElement("button")
    button.className = "beam"
    button.style.setProperty("--sure", sure)
    button.title = "log-probability " + one.log_probability.toFixed(2)
    const text = document.createElement("span"), note = document.createElement("small")
    text.textContent = one.caption + (one.finished ? "" : " …")
    note.textContent = percent(sure) + " a word"
    button.append(text, note)
    button.onclick = () => choose(number)
    const item = document.createElement("li")
    item.append(button)
    return item
  }))
}

function choose(number) {
  chosen = number
  document.querySelectorAll(".beam").forEach((beam, n) => beam.setAttribute("aria-pressed", n === number))
  const words = answer.captions[number].words
  $("caption").replaceChildren(...words.flatMap((word, n) => {
    const button = document.createElement("button")
    button.className = "word"
    button.textContent = word.text
    button.tabIndex = n ? -1 : 0
    button.style.setProperty("--sure", Math.exp(word.log_probability))
    button.onpointerenter = () => look(n)
    button.onpointerleave = () => { if (document.activeElement !== button) look(-1) }
    button.onfocus = button.onclick = () => look(n)
    button.onblur = () => look(-1)
    return [button, " "]
  }))
  look(-1)
}

function look(n) {
  at = n
  const buttons = document.querySelectorAll(".word")
  buttons.forEach((button, number) => button.setAttribute("aria-current", number === n))
  const word = answer && answer.captions[chosen].words[n]
  $("figure").classList.toggle("looking", !!(word && word.attention))
  if (!word) { $("look").textContent = ""; return }
  const sure = `“${word.text}”: ${percent(Math.exp(word.log_probability))} likely`
  $("look").textContent = word.attention ? `${sure}, looking at ${place(word.attention)}.` : sure + "."
  if (word.attention) paint(word.attention)
}

// Where most of the attention lies, in words: for those who do not see the picture.
function place(shares) {
  const [rows, columns] = answer.grid
  let x = 0, y = 0
  shares.forEach((share, cell) => { x += share * ((cell % columns) + .5) / columns; y += share * (Math.floor(cell / columns) + .5) / rows })
  if (answer.seen.mirrored) x = 1 - x
  const down = y < .42 ? "top" : y > .58 ? "bottom" : "", across = x < .42 ? "left" : x > .58 ? "right" : ""
  return "the " + ([down, across].filter(Boolean).join(" ") || "middle")
}

function paint(shares) {
  const [rows, columns] = answer.grid, { width, height, region, mirrored } = answer.seen
  const image = $("photo"), canvas = $("heat"), most = Math.max(...shares)
  const scale = Math.min(image.clientWidth / width, image.clientHeight / height)
  const w = width * scale, h = height * scale
  canvas.width = Math.round(w); canvas.height = Math.round(h)
  canvas.style.left = (image.clientWidth - w) / 2 + "px"; canvas.style.top = (image.clientHeight - h) / 2 + "px"
  const cells = new OffscreenCanvas(columns, rows), small = cells.getContext("2d"), pixels = small.createImageData(columns, rows)
  shares.forEach((share, cell) => {
    const column = cell % columns, row = Math.floor(cell / columns)
    const heat = share / most, place = 4 * (row * columns + (mirrored ? columns - 1 - column : column))
    // Dark where it did not look, clear and then glowing where it did.
    const glow = Math.max(0, heat - .5) * 2
    pixels.data.set([20 + 235 * glow, 16 + 130 * glow, 24 + 20 * glow, heat < .5 ? 185 * (1 - heat * 2) : 120 * glow], place)
  })
  small.putImageData(pixels, 0, 0)
  const paper = canvas.getContext("2d")
  const [x0, y0, x1, y1] = region.map(pixel => pixel * scale)
  paper.fillStyle = "rgb(20 16 24 / .72)"
  paper.fillRect(0, 0, w, h)
  paper.clearRect(x0, y0, x1 - x0, y1 - y0)
  paper.imageSmoothingQuality = "high"
  paper.drawImage(cells, x0, y0, x1 - x0, y1 - y0)
}

const take = files => { const file = [...files].find(file => file.type.startsWith("image/")) || files[0]; if (file) ask(file) }
$("choose").onclick = () => $("file").click()
for (const input of document.querySelectorAll("input[type=file]")) input.onchange = () => { take(input.files); input.value = "" }
$("beams").onchange = () => photo && ask(photo)
document.ondragover = event => { event.preventDefault(); $("drop").classList.add("over") }
document.ondragleave = () => $("drop").classList.remove("over")
document.ondrop = event => { event.preventDefault(); $("drop").classList.remove("over"); take(event.dataTransfer.files) }
document.onpaste = event => take(event.clipboardData.files)
$("caption").onkeydown = event => {
  const buttons = [...document.querySelectorAll(".word")], last = buttons.length - 1, now = buttons.indexOf(document.activeElement)
  const next = { ArrowRight: Math.min(now + 1, last), ArrowLeft: Math.max(now - 1, 0), Home: 0, End: last }[event.key]
  if (event.key === "Escape") document.activeElement.blur()
  if (next === undefined || now < 0) return
  event.preventDefault()
  buttons.forEach((button, n) => button.tabIndex = n === next ? 0 : -1)
  buttons[next].focus()
}
onresize = () => { if (at >= 0) look(at) }
