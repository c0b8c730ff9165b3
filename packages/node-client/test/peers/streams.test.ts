import { cutSuite, streamSuite } from '@ws/testkit/peers';
import { clientStage } from './stage.ts';

streamSuite(clientStage);
cutSuite(clientStage);
