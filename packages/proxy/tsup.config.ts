import { library } from '../../.config/tsup.ts';

export default library(['src/index.ts'], ['@ws/http-shared'], 'types="node"');
