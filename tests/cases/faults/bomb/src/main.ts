// Loses its shard on request: V8 runs out of memory inside of one built-in function.
export default {
  async fetch(request: Request): Promise<Response> {
    switch (new URL(request.url).pathname) {
      case "/bomb":
        return Response.json(new Array(1e8).fill(0).map((x) => [x]).length);
      case "/slow":
        console.info("slow");
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        return new Response("slow, and whole");
      default:
        return new Response("fine");
    }
  },
};
