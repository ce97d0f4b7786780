import { pythonClient } from '../helpers/clients/python-clients';

pythonClient('openai, chat completions', ['client_openai.py']);
pythonClient('openai, Responses', ['client_openai.py', 'responses']);
