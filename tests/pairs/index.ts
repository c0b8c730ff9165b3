export { anyCommands, anySetup, type Command, type End, type Setup } from './commands.ts';
export { type MakeConn, runCommands } from './model.ts';
