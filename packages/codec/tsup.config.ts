import { library } from '../../.config/tsup.ts';

// Entries share chunks: there is one copy of every class and every pool.
export default library(['src/index.ts', 'src/internal.ts'], 'lib="es2022"');
