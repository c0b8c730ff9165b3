// A page without a bundler of its own. `../pages.slow.test.ts` runs it.
import { dial, ReconnectingConn } from '@ws/browser';
import { RpcError } from '@ws/rpc';
import { chat } from './contract.mjs';

const typed = [];
const handlers = {
  typed: ({ room }) => void typed.push(room),
  confirm: ({ question }) => question === 'sure?',
  async *frames({ count }) {
    for (let i = 0; i < count; i++) yield i;
  },
};

globalThis.rpc = { chat, dial, handlers, ReconnectingConn, RpcError, typed };
