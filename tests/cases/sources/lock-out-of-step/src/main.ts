import left from "left";

export default {
  fetch: () => new Response(left),
};
