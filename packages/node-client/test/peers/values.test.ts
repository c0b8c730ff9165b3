import { valueSuite } from '@ws/testkit/peers';
import { clientStage } from './stage.ts';

valueSuite(clientStage);
