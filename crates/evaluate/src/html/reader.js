// Acts as a reader of the report does; its value is what the reader saw.
(async () => {
  const until = async (ready) => {
    while (!ready()) await new Promise((done) => setTimeout(done, 20));
  };
  const cards = () => [...document.querySelectorAll("article")];
  const filled = () => cards().filter((card) => card.dataset.filled);
  const alpha = (card, x, y) => {
    const canvas = card.querySelector("canvas");
    return canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3];
  };
  const press = (card, key) => card.querySelector(".caption").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  await until(() => filled().length > 0);
  const found = { cards: cards().length, filled: filled().length, broken: document.body.dataset.broken ?? null };
  found.title = document.getElementById("title").textContent;
  found.rows = document.querySelectorAll("#scores tr").length;
  const first = cards()[0];
  found.worst = first.querySelector(".caption").textContent.trim();
  found.details = first.textContent;
  found.guest = first.querySelector(".guest").textContent;
  const image = first.querySelector("img");
  await image.decode();
  found.photo = image.naturalWidth;
  found.dark = alpha(first, 0.5, 0.5);
  press(first, "ArrowRight");
  // The crop is the middle half of the photo; the first word looks at its top left quarter.
  found.looks = [[0.27, 0.1], [0.73, 0.1], [0.27, 0.9], [0.05, 0.1]].map(([x, y]) => alpha(first, x, y));
  press(first, "ArrowRight");
  found.next = [[0.27, 0.1], [0.73, 0.1]].map(([x, y]) => alpha(first, x, y));
  found.now = first.querySelector(".now").textContent;
  const word = first.querySelectorAll(".caption span")[2];
  word.dispatchEvent(new MouseEvent("mouseenter"));
  found.pointed = [[0.27, 0.1], [0.27, 0.9]].map(([x, y]) => alpha(first, x, y));
  const sort = document.getElementById("sort");
  sort.value = "cider_d-best";
  sort.dispatchEvent(new Event("change"));
  await until(() => cards()[0].dataset.filled);
  found.best = cards()[0].querySelector(".caption").textContent.trim();
  const find = document.getElementById("find");
  find.value = "image-7";
  find.dispatchEvent(new Event("input"));
  found.named = cards().length;
  const lost = cards().find((card) => card.dataset.place === "7");
  lost.scrollIntoView();
  await until(() => lost.dataset.filled);
  found.without_photo = lost.querySelectorAll("img").length;
  return found;
})()
