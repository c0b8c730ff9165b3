import { options } from './options.mjs';

export default options('codec', ['{close,frames,handshake,masking,memory,text}/*.ts']);
