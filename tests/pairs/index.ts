export { anyCommands, anySetup, type Command, type End, type Setup } from './commands.ts';
export { compressingPlatform, DEFLATE } from './compressing-platform.ts';
export { type MakeConn, runCommands } from './model.ts';
