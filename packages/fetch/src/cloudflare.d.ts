declare module 'cloudflare:workers' {
  export function waitUntil(promise: Promise<unknown>): void;
  // oxlint-disable-next-line typescript/no-extraneous-class -- as the runtime has it
  export class DurableObject {
    constructor(ctx: unknown, env: unknown);
    protected readonly ctx: never;
    protected readonly env: unknown;
  }
}
