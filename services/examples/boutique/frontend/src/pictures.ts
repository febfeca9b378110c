// The shop's drawings: simple shapes on a coloured ground.

const DRAWINGS: Record<string, [ground: string, shapes: string]> = {
  mug: ["#d8e2dc", '<path d="M120 130h130v150a30 30 0 0 1-30 30h-70a30 30 0 0 1-30-30z" fill="#4f6d7a"/><path d="M250 165h20a38 38 0 0 1 0 90h-20" fill="none" stroke="#4f6d7a" stroke-width="20"/><path d="M120 130h130v30H120z" fill="#3b525c"/>'],
  bowl: ["#f0dfc8", '<path d="M80 180h240a120 120 0 0 1-240 0z" fill="#7a9e9f"/><path d="M80 180h240a120 120 0 0 1-6 36H86a120 120 0 0 1-6-36z" fill="#b8d8d8"/><path d="M165 296h70v16h-70z" fill="#4f6367"/>'],
  kettle: ["#e6dcd3", '<path d="M110 290c-20-90 30-140 90-140s110 50 90 140z" fill="#b8693d"/><path d="M282 230l60-60 14 14-66 84z" fill="#9a5430"/><path d="M130 150a70 70 0 0 1 140 0" fill="none" stroke="#54372a" stroke-width="14"/><circle cx="200" cy="146" r="12" fill="#54372a"/>'],
  board: ["#dfe5d6", '<rect x="110" y="120" width="180" height="200" rx="18" fill="#c99e6b"/><rect x="175" y="60" width="50" height="80" rx="20" fill="#c99e6b"/><circle cx="200" cy="85" r="9" fill="#dfe5d6"/><path d="M130 170h140M130 220h140M130 270h140" stroke="#a67c4e" stroke-width="5"/>'],
  lamp: ["#d9d7e4", '<path d="M130 320h140v16H130z" fill="#8a6d2f"/><path d="M194 180h12v145h-12z" fill="#b08d3f"/><path d="M150 90h100l50 100H100z" fill="#f2d58a"/>'],
  clock: ["#e9dcc4", '<circle cx="200" cy="200" r="105" fill="#c9a26d"/><circle cx="200" cy="200" r="88" fill="#fbf8f2"/><path d="M200 200V135M200 200l42 30" stroke="#3a332b" stroke-width="9" stroke-linecap="round"/><circle cx="200" cy="200" r="9" fill="#a4492b"/>'],
  throw: ["#d6e0e6", '<path d="M100 110h200v150l-14 30-16-20-20 24-18-22-18 22-18-22-18 22-20-24-18 22-20-22-20 20z" fill="#c7b8a3"/><path d="M120 140l40 30 40-30 40 30 40-30M120 190l40 30 40-30 40 30 40-30" fill="none" stroke="#96866f" stroke-width="8"/>'],
  candle: ["#e8d9e0", '<rect x="140" y="190" width="120" height="120" rx="10" fill="#7d5a6b"/><rect x="140" y="190" width="120" height="28" fill="#f3e9d9"/><path d="M197 160h6v34h-6z" fill="#3a332b"/><path d="M200 105c24 30 20 56 0 58-20-2-24-28 0-58z" fill="#eaa33b"/>'],
  bag: ["#dedfc9", '<rect x="95" y="165" width="210" height="150" rx="22" fill="#6b6f47"/><path d="M95 190a25 25 0 0 1 25-25h160a25 25 0 0 1 25 25v40H95z" fill="#555a36"/><path d="M150 165c0-80 100-80 100 0" fill="none" stroke="#7a4f2c" stroke-width="14"/><rect x="186" y="215" width="28" height="34" rx="5" fill="#c79a52"/>'],
  scarf: ["#e7dfdb", '<path d="M130 100h140v50H130z" fill="#5d6b7a"/><path d="M150 150h55v150h-55z" fill="#74849a"/><path d="M205 150h50v110h-50z" fill="#5d6b7a"/><path d="M150 300v22M168 300v22M186 300v22M204 300v22M214 260v22M232 260v22M250 260v22" stroke="#46515e" stroke-width="6"/>'],
  shears: ["#d5e3d8", '<path d="M190 210L130 80l30 0 50 120zM210 210l60-130h-30l-50 120z" fill="#8b979c"/><path d="M195 205c-60 30-80 110-50 120s40-60 60-110zM205 205c60 30 80 110 50 120s-40-60-60-110z" fill="none" stroke="#a4492b" stroke-width="16"/><circle cx="200" cy="205" r="9" fill="#3a332b"/>'],
  box: ["#e3d8ca", '<rect x="95" y="120" width="210" height="180" rx="8" fill="#a8714a"/><path d="M105 132h60v46h-60zM170 132h60v46h-60zM235 132h60v46h-60zM105 187h60v46h-60zM170 187h60v46h-60zM235 187h60v46h-60zM105 242h60v46h-60zM170 242h60v46h-60zM235 242h60v46h-60z" fill="#c28b5f"/><path d="M125 152h20M190 152h20M255 152h20M125 207h20M190 207h20M255 207h20M125 262h20M190 262h20M255 262h20" stroke="#e9cf8a" stroke-width="8"/>'],
};

/** SVG files by name. */
export const PICTURES = new Map(
  Object.entries(DRAWINGS).map(([name, [ground, shapes]]) => [
    name,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400"><path d="M0 0h400v400H0z" fill="${ground}"/>${shapes}</svg>`,
  ]),
);
