import api from './api.ts';

declare const module: object;
// `require` returns the class.
Object.assign(module, { exports: api });
