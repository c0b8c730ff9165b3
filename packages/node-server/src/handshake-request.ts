import type { IncomingMessage } from 'node:http';

/**
 * The request that a callback gets, an IncomingMessage of `node:http`. Without `@types/node` the
 * compiler replaces IncomingMessage by `any`, and `skipLibCheck` hides that. This type then has one
 * property, whose name is the command to run. The condition tests `keyof`, because a condition on
 * the missing type itself gives `any` again since TypeScript 5.5.
 */
export type HandshakeRequest = string extends keyof IncomingMessage
  ? { readonly 'run npm install --save-dev @types/node': never }
  : IncomingMessage;
