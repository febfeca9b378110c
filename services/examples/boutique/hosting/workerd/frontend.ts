// The handler is the same: both hostings call `fetch(request, env)`.
export { default } from "../../frontend/src/main";
