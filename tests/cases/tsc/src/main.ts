// TypeScript's own compiler as a service: complains of what is posted, files by name, as
// `tsc --strict` would. Files named `lib.*` are TypeScript's own.
import ts from "typescript";

const options: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
};

export default {
  async fetch(request: Request): Promise<Response> {
    const posted: Record<string, string> = await request.json();
    const files = new Map(Object.entries(posted).map(([name, text]) => [`/${name}`, text]));
    const host: ts.CompilerHost = {
      fileExists: (name) => files.has(name),
      readFile: (name) => files.get(name),
      getSourceFile(name, target) {
        const text = files.get(name);
        return text === undefined ? undefined : ts.createSourceFile(name, text, target);
      },
      getDefaultLibFileName: () => "/lib.esnext.full.d.ts",
      getDefaultLibLocation: () => "/",
      writeFile: () => {},
      getCurrentDirectory: () => "/",
      getCanonicalFileName: (name) => name,
      useCaseSensitiveFileNames: () => true,
      getNewLine: () => "\n",
    };
    const roots = [...files.keys()].filter((name) => !name.startsWith("/lib."));
    const found = ts.getPreEmitDiagnostics(ts.createProgram(roots, options, host));
    return new Response(ts.formatDiagnostics(found, host));
  },
};
