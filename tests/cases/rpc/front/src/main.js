export default {
  async fetch(_, env) {
    return new Response((await env.AUTH.version()).version);
  },
};
