// The browser's half of digits.py. Strokes are white on black, as MNIST's digits are.
const SIZE = 112; // pixels of the drawing, PAD_SIZE in digits.py; the page shows two for each

const HTML = `<div style="display: flex; flex-wrap: wrap; gap: 24px; padding: 4px">
  <div style="position: relative">
    <canvas width="${SIZE}" height="${SIZE}" tabindex="0" role="img" data-lm-suppress-shortcuts="true"
      aria-label="Drawing pad. Draw with the mouse or a finger; or move the pen with the arrow keys,
      put it down or lift it with the space bar, and clear the pad with Delete." style="display: block;
      width: ${2 * SIZE}px; height: ${2 * SIZE}px; touch-action: none; cursor: crosshair"></canvas>
    <div hidden style="position: absolute; width: 14px; height: 14px; margin: -9px; border: 2px solid
      #f59e0b; border-radius: 50%; pointer-events: none"></div>
    <button type="button" class="jupyter-widgets jupyter-button" style="margin: 8px 0">Clear the pad</button>
  </div>
  <div><table style="margin: 0"></table><p role="status" style="margin: 8px 0 0"></p></div>
</div>`;

function render({ model, el }) {
  el.innerHTML = HTML;
  const [canvas, ring, clear, table, status] = ["canvas", "[hidden]", "button", "table", "[role=status]"].map(
    (name) => el.querySelector(name),
  );
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pen = { x: SIZE / 2, y: SIZE / 2, down: false };
  let first = true; // the first stroke wipes the example away
  let timer = null;

  function send() {
    timer = null;
    const { data } = context.getImageData(0, 0, SIZE, SIZE);
    const grey = Uint8Array.from({ length: SIZE * SIZE }, (_, index) => data[4 * index]);
    model.set("drawing", new DataView(grey.buffer));
    model.save_changes();
  }
  function wipe() {
    first = false;
    context.fillRect(0, 0, SIZE, SIZE);
    timer ??= setTimeout(send, 60);
  }
  function moveTo(x, y) {
    if (pen.down) {
      if (first) wipe();
      context.beginPath();
      context.moveTo(pen.x, pen.y);
      context.lineTo(x, y);
      context.stroke();
      timer ??= setTimeout(send, 60);
    }
    Object.assign(pen, { x, y });
    Object.assign(ring.style, { left: `${2 * x}px`, top: `${2 * y}px`, background: pen.down ? "#f59e0b" : "none" });
  }

  function byPointer(event) {
    const [x, y] = [event.offsetX / 2, event.offsetY / 2];
    ring.hidden = true;
    if (event.type === "pointerdown") {
      canvas.setPointerCapture(event.pointerId);
      Object.assign(pen, { x, y, down: true });
    }
    if (event.type === "pointerup" || event.type === "pointercancel") pen.down = false;
    if (event.type === "pointerdown" || event.buttons) moveTo(x, y);
  }
  for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) canvas.addEventListener(type, byPointer);

  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4], " ": [0, 0] }[event.key];
    if (event.key === "Delete") wipe();
    if (!step) return;
    event.preventDefault();
    ring.hidden = false;
    if (event.key === " ") pen.down = !pen.down;
    const [x, y] = [pen.x + step[0], pen.y + step[1]].map((place) => Math.min(Math.max(place, 6), SIZE - 6));
    moveTo(x, y);
  });
  clear.addEventListener("click", wipe);

  function show() {
    const values = model.get("probabilities");
    const best = values.indexOf(Math.max(...values));
    const row = (digit) => {
      const percent = values.length ? `${Math.round(100 * values[digit])} %` : "";
      return `<tr><th scope="row">${digit}</th><td><meter min="0" max="1" value="${values[digit] ?? 0}"
        style="width: 150px" aria-label="probability of ${digit}"></meter></td><td>${percent}</td></tr>`;
    };
    table.innerHTML = [...Array(10).keys()].map(row).join("");
    status.textContent = values.length ? `It looks like a ${best}.` : "Draw a digit from 0 to 9.";
  }
  model.on("change:probabilities", show);
  show();

  const drawing = model.get("drawing");
  const pixels = context.createImageData(SIZE, SIZE);
  for (let index = 0; index < SIZE * SIZE; index++) {
    const grey = drawing.getUint8(index);
    pixels.data.set([grey, grey, grey, 255], 4 * index);
  }
  context.putImageData(pixels, 0, 0);
  Object.assign(context, { fillStyle: "black", strokeStyle: "white", lineWidth: 9, lineCap: "round" });
  return () => clearTimeout(timer);
}

export default { render };
