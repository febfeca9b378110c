// The page's style sheet and script.

const STYLE = `
:root { --ink: #22302b; --paper: #fbf9f4; --line: #ddd6c8; --accent: #2f6b4f; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; justify-content: space-between; border-bottom: 1px solid var(--line); }
h1 a { color: inherit; text-decoration: none; font-family: Georgia, serif; letter-spacing: .04em; }
h2 { font-size: 1.05rem; margin: 0; }
input, select, button { font: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: .3rem; background: #fff; }
button { background: var(--accent); border-color: var(--accent); color: #fff; cursor: pointer; }
.count { color: #6d756f; }
.products { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; padding: 0; list-style: none; }
.products li { display: flex; flex-direction: column; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; background: #fff; }
.products .price { margin: auto 0 .5rem; font-weight: 600; }
nav { display: flex; gap: 1rem; justify-content: center; margin: 1rem; }
aside { margin-top: 2rem; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; background: #fff; }
td { padding: .1rem 1rem .1rem 0; }
.total td { border-top: 1px solid var(--line); font-weight: 600; }
`;

const SCRIPT = `
// Sends a form that names an API as JSON, and shows the page again.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  const response = await fetch(form.dataset.api, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  });
  const reply = await response.json();
  if (!response.ok) alert(reply.title);
  else if (reply.orderId) alert("Thank you! Your order is " + reply.orderId);
  if (response.ok) location.reload();
});
`;

export function style(): Response {
  return asset("text/css", STYLE);
}

export function script(): Response {
  return asset("text/javascript", SCRIPT);
}

function asset(type: string, text: string): Response {
  const headers = { "content-type": `${type}; charset=utf-8`, "cache-control": "max-age=300" };
  return new Response(text, { headers });
}
