import { library } from '../../tools/build/tsup.ts';

// Entries share chunks: there is one copy of every class and every pool.
export default library(['src/index.ts', 'src/internal.ts'], 'lib="es2022"');
