import WebSocket from './api.ts';

declare const module: object;
// `require` returns the class.
Object.assign(module, { exports: WebSocket });
