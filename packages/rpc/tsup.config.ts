import { library } from '../../.config/tsup.ts';

export default library(['src/index.ts'], 'lib="esnext.disposable"');
