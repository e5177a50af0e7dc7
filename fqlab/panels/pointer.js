// The pointer on a picture: the label of the nearest spot, clicks on it, and drags. The same script in the lab and on pages.
(() => {
  "use strict";
  const fqlab = (globalThis.fqlab = globalThis.fqlab || {});
  if (fqlab.Pointer) return; // in the lab every panel brings this script along
  const REACH = 14, SLIP = 4; // pixels: how near a spot the pointer must be; how far a hand may move and still click
  const WIDE = 500; // a finger does not drag a wider picture: on a phone it scrolls it
  let tip = null, asked = null; // the label, and the pointer that wrote it

  // One label for the whole document, above everything and out of the flow, so that nothing jumps. The alt text says the same.
  function label() {
    if (tip) return tip;
    const [ring, words] = [document.createElement("span"), document.createElement("span")];
    ring.style.cssText = "position:fixed;box-sizing:border-box;border:2px solid #1f2328;border-radius:50%;box-shadow:0 0 0 1.5px #fff";
    words.style.cssText = "position:fixed;box-sizing:border-box;width:max-content;max-width:min(340px,calc(100vw - 12px));padding:4px 8px;border-radius:5px;"
      + "background:#1f2328;color:#fff;line-height:1.35;white-space:pre-line;font-family:system-ui,sans-serif;box-shadow:0 0 0 1px #8b949e";
    const box = document.createElement("div");
    box.className = "fqlab-tip";
    box.setAttribute("aria-hidden", "true");
    box.style.cssText = "position:fixed;left:0;top:0;z-index:99999;pointer-events:none;visibility:hidden";
    box.append(ring, words);
    addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    addEventListener("scroll", () => asked && asked.point(), { capture: true, passive: true });
    addEventListener("pointerdown", (event) => { if (!event.target.fqlabPointer) hide(); }, { capture: true, passive: true });
    return (tip = { box, ring, words });
  }

  function hide() {
    if (tip) tip.box.style.visibility = "hidden";
  }

  // The label above a place in the window, or below it where there is no room, and a ring around the place.
  function say(text, x, y, scale) {
    const { box, ring, words } = label();
    (document.fullscreenElement || document.body).append(box);
    const radius = 8 * scale;
    Object.assign(ring.style, { left: `${x - radius}px`, top: `${y - radius}px`, width: `${2 * radius}px`, height: `${2 * radius}px` });
    words.style.fontSize = `${12 * Math.max(1, scale)}px`;
    if (words.textContent !== text) words.textContent = text;
    const { offsetWidth: width, offsetHeight: height } = words;
    const above = y - radius - 6 - height;
    words.style.left = `${Math.max(6, Math.min(x - width / 2, document.documentElement.clientWidth - width - 6))}px`;
    words.style.top = `${above >= 4 ? above : y + radius + 6}px`;
    box.style.visibility = "visible";
  }

  // Listens on the box of a picture. ``hand.click(number, spot)`` is called for a spot that acts, ``hand.drag(turn, x, y, done)`` with
  // how far the hand is from where it took hold, in pixels of the picture, and a number for each time it does.
  class Pointer {
    constructor(box, hand) {
      Object.assign(this, { box, hand, turn: 0, grip: null, on: -1, last: null });
      box.fqlabPointer = this;
      this.show([1, 1, 0, []]);
      const acts = { pointermove: "moved", pointerdown: "held", pointerup: "released", pointercancel: "lost", pointerleave: "left" };
      for (const [kind, act] of Object.entries(acts)) box.addEventListener(kind, (event) => this[act](event));
      box.addEventListener("dragstart", (event) => event.preventDefault());
    }

    // What the picture shows now: its size, whether it can be dragged, and its spots as [x, y, label, whether a click acts].
    show([width, height, draggable, spots]) {
      Object.assign(this, { width, height, draggable, spots });
      this.box.style.touchAction = draggable && width <= WIDE ? "pan-y" : "";
      this.point();
    }

    place(event) {
      const room = this.box.getBoundingClientRect();
      const scale = room.width / this.width;
      return { room, scale, x: (event.clientX - room.left) / scale, y: (event.clientY - room.top) / scale };
    }

    // Marks the spot under the pointer, if there is one.
    point() {
      const was = this.on;
      this.on = -1;
      if (this.last && !(this.grip && this.grip.far)) {
        const { room, scale, x, y } = this.place(this.last);
        const away = this.spots.map((spot) => Math.hypot(spot[0] - x, spot[1] - y));
        const near = away.indexOf(Math.min(...away));
        if (near >= 0 && away[near] * scale <= REACH * Math.max(1, scale)) {
          this.on = near;
          asked = this;
          say(this.spots[near][2], room.left + this.spots[near][0] * scale, room.top + this.spots[near][1] * scale, scale);
        }
      }
      if (this.on < 0 && was >= 0) hide();
      const clicks = this.on >= 0 && this.spots[this.on][3];
      this.box.style.cursor = clicks ? "pointer" : this.draggable ? (this.grip ? "grabbing" : "grab") : "";
    }

    moved(event) {
      this.last = event;
      if (this.grip) this.pull(event, false);
      this.point();
    }

    held(event) {
      if (event.button) return;
      const shown = this.on;
      this.last = event;
      this.grip = { x: event.clientX, y: event.clientY, far: false };
      if (this.draggable) this.box.setPointerCapture(event.pointerId);
      this.turn += 1;
      this.point();
      this.grip.seen = event.pointerType !== "touch" || shown === this.on; // a finger cannot hover: its first tap only asks
    }

    pull(event, done) {
      const [x, y] = [event.clientX - this.grip.x, event.clientY - this.grip.y];
      this.grip.far ||= Math.hypot(x, y) > SLIP;
      if (!this.draggable || !this.grip.far) return;
      const { scale } = this.place(event);
      this.hand.drag(this.turn, x / scale, y / scale, done);
    }

    released(event) {
      if (!this.grip) return;
      this.pull(event, true);
      const { far, seen } = this.grip;
      this.grip = null;
      this.point();
      if (!far && seen && this.on >= 0 && this.spots[this.on][3]) this.hand.click(this.on, this.spots[this.on]);
    }

    lost(event) {
      this.grip = null;
      this.left(event);
    }

    left(event) {
      if (event.pointerType === "touch" && event.type === "pointerleave") return; // the label of a tap stays until the next one
      this.last = null;
      this.grip = null;
      this.point();
    }
  }

  fqlab.Pointer = Pointer;
})();
