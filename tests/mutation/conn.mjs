import { options } from './options.mjs';

/** The state machines. */
export default options('conn', ['connection/close-*.ts', '{control,read,time,write}/*.ts']);
