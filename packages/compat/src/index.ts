export * from './api.ts';
export { default } from './api.ts';
