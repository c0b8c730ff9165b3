import { library } from '../../.config/tsup.ts';

export default library(['src/index.ts', 'src/v4/index.ts'], 'lib="esnext.disposable"');
