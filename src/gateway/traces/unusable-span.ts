import { InvalidInputError } from '../../errors';

/** Why a span that is a model call cannot be recorded, in words for whoever sent it. They quote nothing of it. */
export class UnusableSpan extends InvalidInputError {}
