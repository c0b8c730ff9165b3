export { default } from './api.ts';
