// What is used of the package, which brings no declarations.
declare module "mustache" {
  const Mustache: { render(template: string, view: object): string };
  export default Mustache;
}
