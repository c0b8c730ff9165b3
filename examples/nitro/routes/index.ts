import { defineHandler } from 'h3';

export default defineHandler(() => 'a page of Nitro\n');
