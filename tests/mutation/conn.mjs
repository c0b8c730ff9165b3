import { options } from './options.mjs';

/** The connection: its state machines, reads and writes. */
export default options('conn', ['{connection,control,read,scheduler,time,writing}/*.ts']);
