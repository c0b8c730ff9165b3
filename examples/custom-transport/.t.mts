import { serve } from './deflate.ts';
serve(18413);
