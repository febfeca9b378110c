export default {
  async fetch(request: Request) {
    const name = ;
    return new Response(name);
  },
};
