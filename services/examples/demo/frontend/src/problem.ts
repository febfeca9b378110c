// Errors as the client sees them: problem JSON (RFC 9457).
import { z } from "zod";

export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly title: string,
    readonly details: Record<string, unknown> = {},
    readonly headers: Record<string, string> = {},
  ) {
    super(title);
  }

  toResponse(): Response {
    const body = JSON.stringify({ title: this.title, status: this.status, ...this.details });
    const headers = { ...this.headers, "content-type": "application/problem+json" };
    return new Response(body, { status: this.status, headers });
  }
}

/** Any error as a problem. What is not the client's doing is logged, and its details stay here. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof z.ZodError) {
    const issues = error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
    return new Problem(400, "The input is not valid", { issues });
  }
  console.error("request failed:", error);
  return new Problem(500, "Something went wrong here");
}
