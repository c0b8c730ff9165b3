#!/usr/bin/env node
// Stands in the repository, so that a workspace that is not built yet can link the command.
import '../dist/cli.js';
