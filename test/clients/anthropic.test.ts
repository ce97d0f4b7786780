import { pythonClient } from '../helpers/clients/python-clients';

pythonClient('anthropic', ['client_anthropic.py']);
