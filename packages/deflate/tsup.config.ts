import { library } from '../../tools/build/tsup.ts';

export default library(['src/index.ts', 'src/internal.ts'], 'lib="es2022"');
