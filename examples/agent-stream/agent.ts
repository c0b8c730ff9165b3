import { contract, stream } from '@ws/rpc';
import * as z from 'zod';

export const agent = contract({ server: { ask: stream(z.string(), z.string()) } });
