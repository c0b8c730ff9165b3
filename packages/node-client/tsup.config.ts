import { library } from '../../tools/build/tsup.ts';

export default library(['src/index.ts', 'src/browser.ts', 'src/internal.ts'], 'types="node"');
