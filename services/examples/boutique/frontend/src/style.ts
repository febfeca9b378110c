export const STYLE = `:root {
  --ink: #26221d;
  --soft: #6f675c;
  --line: #e2dacd;
  --paper: #fbf8f2;
  --accent: #a4492b;
  color: var(--ink);
  background: var(--paper);
  font: 16px/1.5 Georgia, "Liberation Serif", serif;
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; }
a { color: inherit; text-decoration: none; }
a:hover { color: var(--accent); }
header { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: center; padding: 1rem 2rem; border-bottom: 1px solid var(--line); background: #fff; }
header .name { font-size: 1.5rem; margin-right: auto; letter-spacing: .01em; }
.cart b { display: inline-block; min-width: 1.6em; text-align: center; color: #fff; background: var(--accent); border-radius: 1em; font: bold .8rem/1.6em sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 2rem 3rem; }
footer { padding: 1.5rem 2rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .9rem; text-align: center; }
h1 { font-weight: normal; font-size: 2rem; margin: .5rem 0 1rem; }
h2 { font-weight: normal; font-size: 1.3rem; margin: 2rem 0 .75rem; }
img { display: block; width: 100%; height: auto; border-radius: 6px; background: #efe7d8; }
.grid { list-style: none; margin: 0; padding: 0; display: grid; gap: 1.75rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
.grid.small { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.grid span { display: block; margin-top: .5rem; }
.price, .grid .price { color: var(--soft); margin-top: 0; }
.product { display: grid; gap: 2.5rem; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); align-items: center; }
.product .price { font-size: 1.25rem; }
.ad { padding: .75rem 1rem; border: 1px dashed var(--line); border-radius: 6px; background: #fff; margin: 1.5rem 0; }
.ad small { color: var(--soft); text-transform: uppercase; letter-spacing: .08em; font-size: .7rem; margin-right: .75rem; }
input, select, button { font: inherit; padding: .4rem .7rem; border: 1px solid var(--line); border-radius: 4px; background: #fff; color: inherit; }
button { background: var(--accent); border-color: var(--accent); color: #fff; cursor: pointer; padding: .5rem 1.1rem; }
button.quiet { background: none; border-color: var(--line); color: var(--soft); }
.product input { width: 5rem; margin-right: .5rem; }
.columns { display: grid; gap: 3rem; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); align-items: start; }
table { width: 100%; border-collapse: collapse; margin-bottom: 1rem; }
th { text-align: left; font-weight: normal; color: var(--soft); font-size: .9rem; }
th, td { padding: .55rem 0; border-bottom: 1px solid var(--line); }
td:last-child, th:last-child { text-align: right; white-space: nowrap; }
.shipping td { color: var(--soft); }
.total td { font-weight: bold; border-bottom: 0; }
.checkout { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: 1.25rem 1.5rem 1.5rem; }
.checkout h2 { margin-top: 0; }
.checkout label { display: block; margin-bottom: .6rem; color: var(--soft); font-size: .9rem; }
.checkout input { display: block; width: 100%; color: var(--ink); }
.checkout .row { display: grid; gap: .75rem; grid-template-columns: 1fr 1fr 1fr; }
.checkout > button { width: 100%; margin-top: .5rem; }
.refused { color: #8c1c13; background: #fbeae7; padding: .5rem .75rem; border-radius: 4px; }
@media (max-width: 48rem) { .product, .columns { grid-template-columns: 1fr; } }
`;
